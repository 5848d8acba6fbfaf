# nothing but a comment
#> fails there is no FROM
