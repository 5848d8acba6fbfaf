FROM
#> fails 1:1: FROM: expected an image, a stage or scratch
