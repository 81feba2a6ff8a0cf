demur_fuzz_target(NAME http PARTS common/net)
