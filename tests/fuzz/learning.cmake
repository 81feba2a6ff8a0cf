demur_fuzz_target(NAME server_state PARTS common/learning)
