demur_fuzz_target(NAME event_file PARTS client common/base common/learning)
