set(secagg_golden "${CMAKE_CURRENT_SOURCE_DIR}/secagg")
set(secagg_parts common/base common/model common/wire privacy/crypto privacy/seeded privacy/dp privacy/secagg)
demur_add_test(NAME secagg LABEL vectors SOURCES secagg_vectors_test.cc PARTS ${secagg_parts}
  DEFINES DEMUR_SECAGG_GOLDEN="${secagg_golden}")

# Writes the files anew; only on request.
add_executable(demur_secagg_vectors_writer EXCLUDE_FROM_ALL secagg_vectors_writer.cc)
target_link_libraries(demur_secagg_vectors_writer PRIVATE demur::base demur::model demur::wire
  demur::crypto demur::seeded demur::dp demur::secagg demur_test_support demur_flags)

# The second implementation: Python and its cryptography package (packages-ci.txt). The first python3
# of the path need not be the one that Debian's package belongs to.
set(secagg_python "")
foreach(candidate IN ITEMS python3 /usr/bin/python3)
  execute_process(COMMAND ${candidate} -c "import cryptography" RESULT_VARIABLE rc OUTPUT_QUIET ERROR_QUIET)
  if(rc EQUAL 0)
    set(secagg_python ${candidate})
    break()
  endif()
endforeach()
if(secagg_python)
  add_test(NAME vectors.secagg.check_py COMMAND ${secagg_python} -B ${secagg_golden}/check.py)
  set_tests_properties(vectors.secagg.check_py PROPERTIES LABELS vectors TIMEOUT 120)
elseif(DEMUR_VECTORS)
  message(FATAL_ERROR "tests/vectors/secagg/check.py needs python3-cryptography: scripts/setup.sh --ci")
else()
  message(STATUS "vectors.secagg.check_py is not configured: no python3 with the cryptography package")
endif()
