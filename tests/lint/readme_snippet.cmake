# Writes the first cpp block of README to OUTPUT, so that what the README shows is compiled.
# Usage: cmake -DREADME=... -DOUTPUT=... -P readme_snippet.cmake
file(READ ${README} text)
string(FIND "${text}" "```cpp\n" begin)
if(begin EQUAL -1)
  message(FATAL_ERROR "${README} has no cpp block")
endif()
math(EXPR begin "${begin} + 7")
string(SUBSTRING "${text}" ${begin} -1 text)
string(FIND "${text}" "```" length)
string(SUBSTRING "${text}" 0 ${length} text)
file(WRITE ${OUTPUT} "${text}")
