# The chat page: web/ is built with npm in the build folder, and its three files become byte arrays that page.cpp includes.
find_program(NPM npm REQUIRED)

function(embed_page target)
  set(web ${CMAKE_SOURCE_DIR}/web)
  set(stage ${CMAKE_BINARY_DIR}/web)
  set(installed ${stage}/node_modules/.package-lock.json)
  set(configuration index.html vite.config.js tsconfig.json)
  list(TRANSFORM configuration PREPEND ${web}/)
  file(GLOB sources CONFIGURE_DEPENDS ${web}/src/*)

  add_custom_command(OUTPUT ${installed}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${stage}
    COMMAND ${CMAKE_COMMAND} -E copy ${web}/package.json ${web}/package-lock.json ${stage}
    COMMAND ${NPM} ci --prefix ${stage} --silent --no-audit --no-fund
    COMMAND ${CMAKE_COMMAND} -E touch ${installed}
    VERBATIM
    DEPENDS ${web}/package.json ${web}/package-lock.json
    COMMENT "npm: packages of the chat page")
  set(built ${stage}/dist/index.html ${stage}/dist/app.js ${stage}/dist/style.css)
  add_custom_command(OUTPUT ${built}
    COMMAND ${CMAKE_COMMAND} -E copy ${configuration} ${stage}
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${stage}/src
    COMMAND ${CMAKE_COMMAND} -E copy_directory ${web}/src ${stage}/src
    COMMAND ${NPM} run --silent build
    WORKING_DIRECTORY ${stage}
    VERBATIM
    DEPENDS ${installed} ${configuration} ${sources}
    COMMENT "npm: the chat page")
  set(included)
  foreach(file ${built})
    get_filename_component(name ${file} NAME_WE)
    set(array ${CMAKE_BINARY_DIR}/page/page_${name}.inc)
    add_custom_command(OUTPUT ${array}
      COMMAND ${CMAKE_COMMAND} -DINPUT=${file} -DOUTPUT=${array} -P ${CMAKE_SOURCE_DIR}/cmake/file_to_array.cmake
      VERBATIM
      DEPENDS ${file} ${CMAKE_SOURCE_DIR}/cmake/file_to_array.cmake)
    list(APPEND included ${array})
  endforeach()
  target_sources(${target} PRIVATE ${included})
  target_include_directories(${target} PRIVATE ${CMAKE_BINARY_DIR}/page)
endfunction()
