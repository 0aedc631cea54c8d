# The compile options of every C++ target of this project.
#
# stream_store_compile_options(<target>): C++20, the baseline instruction set, the warnings and the assertions.
# There is no -march=native: a build runs on any x86-64-v2 or ARMv8-A machine. Newer instructions, such as AVX2, are
# chosen at run time.

function(stream_store_compile_options target)
  target_compile_features(${target} PRIVATE cxx_std_20)
  set_target_properties(${target} PROPERTIES
    CXX_STANDARD_REQUIRED ON
    CXX_EXTENSIONS OFF
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    POSITION_INDEPENDENT_CODE ON)

  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    target_compile_options(${target} PRIVATE -march=x86-64-v2)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
    target_compile_options(${target} PRIVATE -march=armv8-a)
  endif()

  # Inline functions in private headers contain assertions, so all targets get the same definition.
  target_compile_definitions(${target} PRIVATE $<$<BOOL:${STREAMSTORE_ASSERTIONS}>:STREAM_STORE_ASSERTIONS>)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast -Wnon-virtual-dtor
    "$<$<CXX_COMPILER_ID:Clang>:-Wthread-safety;-Werror=thread-safety>"
    $<$<BOOL:${STREAMSTORE_WERROR}>:-Werror>)
endfunction()
