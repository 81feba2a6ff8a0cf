demur_add_test(NAME client LABEL integration
  SOURCES device_round_test.cc device_store_test.cc enrol_device_test.cc
  PARTS client authority common/base common/model common/wire common/net common/learning
        privacy/crypto privacy/seeded privacy/dp privacy/secagg)
demur_add_test(NAME demur_client LABEL integration SOURCES demur_client_test.cc
  PARTS client authority common/base common/wire common/net privacy/crypto
  DEFINES DEMUR_CLIENT="$<TARGET_FILE:demur-client>")
add_dependencies(demur_integration_demur_client_test demur-client)
