# Compiles several sources of a folder as one, which takes about half of the CPU time: headers are parsed and templates
# compiled once for all of them.
#
# stream_store_unity(<target> ALONE <source>…): groups the sources of <target> by folder, if the option
#   STREAMSTORE_UNITY is on. Call it after the last source was added. Those in ALONE, named without `.cc`, are compiled
#   by themselves. These are the sources of the hot paths, so that what the compiler inlines there does not depend on
#   their neighbours, and sources that define a name of an anonymous namespace that a neighbour defines, too.
#
# The option is on for packages (pyproject.toml), for the sanitizers and for the preset release, whose instructions
# `make test-speed` counts. It is off for the presets dev and clang and for clang-tidy, which compile each source by
# itself, so that a missing #include is found.
option(STREAMSTORE_UNITY "Compile several sources as one: less CPU time in total, more after a change of one source" OFF)

set(unity_sources 8) # in a group; more would leave too few groups for the cores of a small machine

function(stream_store_unity target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "ALONE")
  if(NOT STREAMSTORE_UNITY)
    return()
  endif()
  get_target_property(sources ${target} SOURCES)
  get_target_property(folder ${target} SOURCE_DIR)
  foreach(source IN LISTS sources)
    get_filename_component(path "${source}" ABSOLUTE BASE_DIR "${folder}")
    get_filename_component(name "${source}" NAME_WE)
    get_filename_component(room "${path}" DIRECTORY)
    get_filename_component(room "${room}" NAME)
    if(NOT path MATCHES "\\.cc$" OR name IN_LIST arg_ALONE)
      continue()
    endif()
    list(APPEND ${room}_members "${path}")
    list(LENGTH ${room}_members count)
    math(EXPR group "(${count} - 1) / ${unity_sources}")
    set_source_files_properties("${path}" TARGET_DIRECTORY ${target} PROPERTIES UNITY_GROUP "${room}_${group}")
  endforeach()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
endfunction()
