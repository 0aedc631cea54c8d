# Reads the version from include/stream_store/version.h, the only file that contains it.
#
# stream_store_read_version(<out>): sets <out> to "major.minor.patch".

function(stream_store_read_version out)
  set(header "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../include/stream_store/version.h")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${header}")
  file(STRINGS "${header}" lines REGEX "^#define STREAM_STORE_VERSION_(MAJOR|MINOR|PATCH) [0-9]+$")
  list(TRANSFORM lines REPLACE "^.* " "")
  list(LENGTH lines count)
  if(NOT count EQUAL 3)
    message(FATAL_ERROR "${header}: expected three version macros but found ${count}")
  endif()
  list(JOIN lines "." version)
  set(${out} "${version}" PARENT_SCOPE)
endfunction()
