# Warnings are errors in our files; third-party headers are included as system headers.
add_library(bitstill_warnings INTERFACE)
# -ffp-contract=off: the decode formula is two roundings, never one fused multiply-add.
target_compile_options(bitstill_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Werror
                                                   -ffp-contract=off)
