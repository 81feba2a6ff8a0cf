demur_fuzz_target(NAME delimited PARTS common/base common/learning simulations)
