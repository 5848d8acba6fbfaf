FROM --platform=$TARGETPLATFORM busybox AS a
FROM --platform=linux busybox AS b
#> ok
#> warns RedundantTargetPlatform
#> warns FromPlatformFlagConstDisallowed
