demur_fuzz_target(NAME task_config PARTS common/base coordinator)
demur_fuzz_target(NAME round_machine
  PARTS common/wire privacy/crypto privacy/seeded privacy/dp privacy/secagg coordinator)
