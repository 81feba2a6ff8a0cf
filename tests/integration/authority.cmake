demur_add_test(NAME authority LABEL integration SOURCES authority_enrol_test.cc
  PARTS authority common/base common/wire common/net privacy/crypto)
demur_add_test(NAME demur_ca LABEL integration SOURCES demur_ca_test.cc
  PARTS common/base common/wire common/net privacy/crypto
  DEFINES DEMUR_CA="$<TARGET_FILE:demur-ca>")
add_dependencies(demur_integration_demur_ca_test demur-ca)
