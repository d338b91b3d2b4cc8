# callie_proto: the message classes of proto/edge_cloud.proto (protobuf's lite runtime).
set(proto_dir ${CMAKE_BINARY_DIR}/proto)
file(MAKE_DIRECTORY ${proto_dir})
add_custom_command(
  OUTPUT ${proto_dir}/edge_cloud.pb.cc ${proto_dir}/edge_cloud.pb.h
  COMMAND protobuf::protoc --cpp_out=${proto_dir} -I ${CMAKE_SOURCE_DIR}/proto ${CMAKE_SOURCE_DIR}/proto/edge_cloud.proto
  DEPENDS ${CMAKE_SOURCE_DIR}/proto/edge_cloud.proto
  VERBATIM)
add_library(callie_proto STATIC ${proto_dir}/edge_cloud.pb.cc)
target_include_directories(callie_proto SYSTEM PUBLIC ${proto_dir})
target_link_libraries(callie_proto PUBLIC protobuf::libprotobuf-lite)
