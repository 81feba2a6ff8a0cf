demur_add_test(NAME dp LABEL statistical SOURCES dp_test.cc PARTS privacy/dp privacy/seeded TIMEOUT 300)
