FROM Busy:Box:1
#> fails 1: image name 'Busy:Box:1': repository 'Busy:Box' must be lower case
