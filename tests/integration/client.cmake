demur_add_test(NAME client LABEL integration
  SOURCES device_round_test.cc enrol_device_test.cc
  PARTS client authority common/base common/model common/wire common/net common/learning
        privacy/crypto privacy/seeded privacy/dp privacy/secagg)
