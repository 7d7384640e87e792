# The one table of who may include whom. CMakeLists.txt links by it, layers.cmake checks by it.

set(layer_modules base comm scale data codec model quant metrics store teacher infer train report config
                  bench app)
set(torch_free_modules base comm scale data codec metrics report)
set(may_include_base)
set(may_include_comm base)
set(may_include_scale base comm)
set(may_include_data base)
set(may_include_codec base)
set(may_include_model base data)
set(may_include_quant base)
set(may_include_metrics base)
set(may_include_store base codec quant)
set(may_include_teacher base comm data model quant store)
set(may_include_infer base comm data codec model quant metrics store)
set(may_include_train base comm data codec model quant metrics store teacher infer)
set(may_include_report base metrics)
set(may_include_config ${layer_modules})
list(REMOVE_ITEM may_include_config config bench app)
set(may_include_bench base comm scale data codec model quant store teacher infer train)
set(may_include_app ${layer_modules})
list(REMOVE_ITEM may_include_app app)

# Third-party homes, three at a time: library, its headers, the files that may include them.
set(layer_homes
    MPI "^mpi\\.h$" "^src/comm/"
    NCCL "^nccl" "^src/comm/nccl"
    CUDA "^(cuda|device_launch|vector_types|mma\\.h)" "^src/comm/nccl|^src/quant/.*\\.cuh?$"
    "CUDA's C++ library" "^(cub|thrust|cooperative_groups)" "^src/quant/.*\\.cuh?$"
    SimGrid "^(simgrid|smpi)/" "^src/scale/sim/"
    HDF5 "^(hdf5|H5)" "^src/data/shard_file\\.cpp$"
    "JPEG, PNG and zlib" "^(jpeglib|jerror|png|zlib)\\.h$" "^src/data/"
    SentencePiece "^sentencepiece_" "^src/data/vocabulary\\.cpp$"
    Boost "^boost/" "^src/config/|^include/bitstill/config/"
    JSON "^nlohmann/" "^src/base/|^include/bitstill/base/"
    OpenSSL "^openssl/" "^src/base/"
    Highway "^hwy/" "^src/(data|quant|codec|model|train)/"
    "zstd (to compare with)" "^zstd\\.h$" "^src/codec/measure\\.cpp$"
    "all of LibTorch (22 s a source: include single ATen headers)" "^torch/(torch|all|types)\\.h$"
    "^nowhere$"
    LibTorch "^(torch|ATen|c10|caffe2)/" "/(model|quant|store|teacher|infer|train|config|bench|app)/")
# Headers of the system, besides C++'s own (which have no dot and no folder).
set(layer_system_headers
    "^(arpa|asm|linux|net|netinet|sys)/.*\\.h$"
    "^(cpuid|dirent|dlfcn|errno|execinfo|fcntl|grp|[a-z]*mmintrin|netdb|poll|pthread|pwd|malloc|sched)\\.h$"
    "^(signal|spawn|termios|time|ucontext|unistd)\\.h$")
