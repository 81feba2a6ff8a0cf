# What a device, a coordinator or an authority runs holds no generator that repeats.
function(demur_seeded_symbols_test target expect)
  if(TARGET ${target})
    add_test(NAME layering.seeded.${target} COMMAND ${CMAKE_COMMAND} -DNM=${CMAKE_NM}
      -DPROGRAM=$<TARGET_FILE:${target}> -DEXPECT=${expect}
      -P ${CMAKE_CURRENT_SOURCE_DIR}/seeded_symbols.cmake)
    set_tests_properties(layering.seeded.${target} PROPERTIES LABELS layering)
  endif()
endfunction()
foreach(program IN ITEMS demur-client demur-coordinator demur-ca)
  demur_seeded_symbols_test(${program} absent)
endforeach()
demur_seeded_symbols_test(demur_unit_seeded_test present)
