# Writes OUTPUT, an initialiser of Page for every docs/findings/*.md in PAGES
# (a folder), sorted by code: run as `cmake -D PAGES=... -D OUTPUT=... -P`.
file(GLOB pages ${PAGES}/*.md)
list(TRANSFORM pages REPLACE ".*/(.*)\\.md$" "\\1")
list(SORT pages COMPARE STRING)
set(text "")
foreach(code IN LISTS pages)
  file(READ ${PAGES}/${code}.md page)
  string(APPEND text "{\"${code}\",\nR\"page(${page})page\"},\n")
endforeach()
file(WRITE ${OUTPUT} "${text}")
