# gold, which comes with binutils, links a third as long as the default linker: LibTorch's symbols
# are many, and a changed source relinks every program.
include(CheckLinkerFlag)
check_linker_flag(CXX -fuse-ld=gold BITSTILL_GOLD)
if(BITSTILL_GOLD)
  add_link_options(-fuse-ld=gold)
endif()
