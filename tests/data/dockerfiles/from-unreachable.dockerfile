FROM 127.0.0.1:1/nobody/listens:1
#> fails 1: FROM failed: the line above says why
