# find_package(demur) for applications that embed the client (tests/install builds one).
include(CMakePackageConfigHelpers)
set(demur_config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/demur)
install(EXPORT demurTargets NAMESPACE demur:: DESTINATION ${demur_config_dir})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/demurConfig.cmake.in
  ${PROJECT_BINARY_DIR}/demurConfig.cmake INSTALL_DESTINATION ${demur_config_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/demurConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/demurConfig.cmake ${PROJECT_BINARY_DIR}/demurConfigVersion.cmake
  DESTINATION ${demur_config_dir})
