include("${CMAKE_CURRENT_LIST_DIR}/callie-targets.cmake")
