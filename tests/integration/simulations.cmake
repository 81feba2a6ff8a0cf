demur_add_test(NAME wire_federation LABEL integration SOURCES wire_federation_test.cc
  PARTS simulations privacy/seeded)
# Not the simulator's: everything that talks in a round, and a coordinator that is killed.
demur_add_test(NAME crash LABEL integration
  SOURCES crash_device_test.cc crash_main.cc crash_rounds_test.cc share_oracle_test.cc
  PARTS authority client coordinator privacy/seeded
  DEFINES DEMUR_CLIENT="$<TARGET_FILE:demur-client>")
add_dependencies(demur_integration_crash_test demur-client)
