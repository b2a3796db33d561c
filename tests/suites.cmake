# Writes OUTPUT, the ctest entries of the test program PROGRAM: one for each
# suite, called NAME.suite.
execute_process(COMMAND ${PROGRAM} --gtest_list_tests
  OUTPUT_VARIABLE listed COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "(^|\n)[^ \n]+\\." suites "${listed}")
set(entries "")
foreach(suite IN LISTS suites)
  string(REGEX REPLACE "^\n|\\.$" "" suite "${suite}")
  string(APPEND entries
    "add_test([==[${NAME}.${suite}]==] [==[${PROGRAM}]==]"
    " [==[--gtest_filter=${suite}.*]==] --gtest_brief=1)\n"
    "set_tests_properties([==[${NAME}.${suite}]==]"
    " PROPERTIES LABELS ${NAME} TIMEOUT 240)\n")
endforeach()
file(WRITE ${OUTPUT} "${entries}")
