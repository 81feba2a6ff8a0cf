demur_add_test(NAME wire_federation LABEL integration SOURCES wire_federation_test.cc
  PARTS simulations privacy/seeded)
# Not the simulator's: everything that talks in a round, and a coordinator that is killed.
demur_add_test(NAME crash_rounds LABEL integration SOURCES crash_rounds_test.cc
  PARTS authority client coordinator privacy/seeded)
