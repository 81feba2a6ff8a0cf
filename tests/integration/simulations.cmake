demur_add_test(NAME wire_federation LABEL integration SOURCES wire_federation_test.cc
  PARTS simulations privacy/seeded)
demur_add_test(NAME demur_sim_secagg LABEL integration SOURCES demur_sim_secagg_test.cc
  PARTS common/base DEFINES DEMUR_SIM="$<TARGET_FILE:demur-sim>")
add_dependencies(demur_integration_demur_sim_secagg_test demur-sim)
# Not the simulator's: everything that talks in a round, and a coordinator that is killed.
demur_add_test(NAME crash LABEL integration
  SOURCES crash_device_test.cc crash_main.cc crash_rounds_test.cc share_oracle_test.cc
  PARTS authority client coordinator privacy/seeded
  DEFINES DEMUR_CLIENT="$<TARGET_FILE:demur-client>")
add_dependencies(demur_integration_crash_test demur-client)
# The points it kills at are all there are.
add_test(NAME integration.fault_points COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/fault_points.sh
  $<TARGET_FILE:demur_integration_crash_test> ${PROJECT_SOURCE_DIR})
set_tests_properties(integration.fault_points PROPERTIES LABELS integration TIMEOUT 60)
