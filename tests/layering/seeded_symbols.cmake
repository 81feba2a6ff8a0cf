# cmake -DNM=nm -DPROGRAM=binary -DEXPECT=absent|present -P seeded_symbols.cmake
# Fails when PROGRAM holds code of demur::seeded (EXPECT=absent), or when it does not although it
# links it (EXPECT=present: proof that the search can find something).
execute_process(COMMAND "${NM}" --demangle "${PROGRAM}" OUTPUT_VARIABLE symbols
  RESULT_VARIABLE failed ERROR_VARIABLE message)
if(failed OR symbols STREQUAL "")
  message(FATAL_ERROR "${NM} cannot read ${PROGRAM}: ${message}")
endif()
string(FIND "${symbols}" "demur::seeded::" at)
if(EXPECT STREQUAL "absent" AND NOT at EQUAL -1)
  message(FATAL_ERROR "${PROGRAM} holds the seeded generator, which only simulations and tests may")
elseif(EXPECT STREQUAL "present" AND at EQUAL -1)
  message(FATAL_ERROR "${PROGRAM} links the seeded generator, and the search does not see it")
endif()
