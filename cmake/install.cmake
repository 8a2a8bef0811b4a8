include(CMakePackageConfigHelpers)
set(cairn_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/cairn)

install(TARGETS cairn EXPORT cairnTargets FILE_SET HEADERS FILE_SET eigen_header)
if(CAIRN_BUILD_CLI)
  install(TARGETS cairn_cli)
  install(FILES cli/man/cairn.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES cli/man/cairn.bash RENAME cairn
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
endif()
install(EXPORT cairnTargets NAMESPACE cairn:: DESTINATION ${cairn_cmake_dir})
configure_package_config_file(cmake/cairnConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/cairnConfig.cmake
  INSTALL_DESTINATION ${cairn_cmake_dir})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/cairnConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/cairnConfig.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/cairnConfigVersion.cmake
  DESTINATION ${cairn_cmake_dir})

# pkg-config. The prefix is told from where cairn.pc lies, so that `cmake --install --prefix` and a
# moved package work; an absolute libdir says nothing of it, and must not be prefixed again.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(CAIRN_PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
else()
  file(RELATIVE_PATH cairn_pc_to_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
  set(CAIRN_PC_PREFIX "\${pcfiledir}/${cairn_pc_to_prefix}")
endif()
foreach(dir LIBDIR INCLUDEDIR)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${dir}}")
    set(CAIRN_PC_${dir} "${CMAKE_INSTALL_${dir}}")
  else()
    set(CAIRN_PC_${dir} "\${prefix}/${CMAKE_INSTALL_${dir}}")
  endif()
endforeach()
configure_file(cmake/cairn.pc.in ${CMAKE_CURRENT_BINARY_DIR}/cairn.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/cairn.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
