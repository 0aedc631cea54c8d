# The install rules: after `cmake --install`, find_package(StreamStore) and pkg-config find the library.
#
# There are two components: `runtime` (the shared library) and `development` (the static library, headers, package
# files). python/CMakeLists.txt installs the Python extension as a third. The installed tree can be moved as a whole.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/StreamStore")

install(TARGETS stream_store EXPORT StreamStoreTargets
  LIBRARY COMPONENT runtime NAMELINK_COMPONENT development
  ARCHIVE COMPONENT development
  FILE_SET HEADERS COMPONENT development)
install(EXPORT StreamStoreTargets
  NAMESPACE StreamStore:: DESTINATION "${package_dir}" COMPONENT development)

configure_package_config_file(
  "${CMAKE_CURRENT_LIST_DIR}/StreamStoreConfig.cmake.in" "${PROJECT_BINARY_DIR}/StreamStoreConfig.cmake"
  INSTALL_DESTINATION "${package_dir}" NO_SET_AND_CHECK_MACRO)
# Before 1.0 a new minor version may change the API.
write_basic_package_version_file(
  "${PROJECT_BINARY_DIR}/StreamStoreConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES
  "${PROJECT_BINARY_DIR}/StreamStoreConfig.cmake" "${PROJECT_BINARY_DIR}/StreamStoreConfigVersion.cmake"
  DESTINATION "${package_dir}" COMPONENT development)

# Paths in the .pc file are relative to it, so that an installed tree can be moved.
set(pkgconfig_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
file(RELATIVE_PATH prefix_from_pc "/${pkgconfig_dir}" "/")
string(REGEX REPLACE "/$" "" prefix_from_pc "${prefix_from_pc}")
set(arrow_cflag "")
if(NOT STREAMSTORE_WITH_ARROW)
  set(arrow_cflag " -DSTREAM_STORE_WITHOUT_ARROW")
endif()
configure_file("${CMAKE_CURRENT_LIST_DIR}/stream_store.pc.in" "${PROJECT_BINARY_DIR}/stream_store.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/stream_store.pc" DESTINATION "${pkgconfig_dir}" COMPONENT development)
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DATADIR}/licenses/stream_store" COMPONENT development)
