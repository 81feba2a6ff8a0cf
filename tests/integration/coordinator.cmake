demur_add_test(NAME coordinator_server LABEL integration SOURCES coordinator_server_test.cc
  PARTS coordinator common/base common/model common/wire common/net common/storage privacy/crypto
        privacy/dp privacy/secagg)
demur_add_test(NAME demur_coordinator LABEL integration SOURCES demur_coordinator_test.cc
  PARTS coordinator authority common/base common/wire common/net common/storage privacy/crypto
  DEFINES DEMUR_COORDINATOR="$<TARGET_FILE:demur-coordinator>")
add_dependencies(demur_integration_demur_coordinator_test demur-coordinator)
