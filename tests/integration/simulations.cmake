demur_add_test(NAME wire_federation LABEL integration SOURCES wire_federation_test.cc
  PARTS simulations privacy/seeded)
