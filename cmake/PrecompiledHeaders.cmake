# Headers that g++ parses once for a whole target. This saves about a third of the compile time.
#
# stream_store_precompile(<target> <name>): precompiles cmake/precompiled/<name>.h for <target>, if the option
#   STREAMSTORE_PRECOMPILE is on.
# stream_store_reuse_precompiled(<target> <from>): <target>, which is compiled with the flags of <from>, uses its
#   precompiled header.
#
# The builds with clang leave the option off. They find a source that does not include every header it uses.
set(precompile_default OFF)
if(PROJECT_IS_TOP_LEVEL AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(precompile_default ON)
  # ccache stores nothing that uses a precompiled header, unless it may ignore the time stamps and macros in it.
  if(CMAKE_CXX_COMPILER_LAUNCHER AND NOT "$ENV{CCACHE_SLOPPINESS}" MATCHES "pch_defines")
    set(precompile_default OFF)
  endif()
endif()
option(STREAMSTORE_PRECOMPILE "Precompile the headers that most sources include" ${precompile_default})

set(precompiled_folder "${CMAKE_CURRENT_LIST_DIR}/precompiled")

function(stream_store_precompile target name)
  if(STREAMSTORE_PRECOMPILE)
    target_precompile_headers(${target} PRIVATE "${precompiled_folder}/${name}.h")
  endif()
endfunction()

function(stream_store_reuse_precompiled target from)
  if(STREAMSTORE_PRECOMPILE)
    target_precompile_headers(${target} REUSE_FROM ${from})
  endif()
endfunction()
