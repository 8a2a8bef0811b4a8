/* A stranger's first program in C. */
#include <stdio.h>

#include <cairn/cairn_c.h>

enum { ROWS = 500, DIM = 16 };

int main(void) {
  static float vectors[ROWS * DIM];
  for (int i = 0; i < ROWS * DIM; ++i) vectors[i] = (float)(i * 7919 % 1009);
  cairn_index* index = NULL;
  if (cairn_open("no such file", NULL, &index) != CAIRN_NOT_FOUND) return 1;
  if (cairn_build(vectors, ROWS, DIM, NULL, NULL, &index) != CAIRN_OK) {
    fprintf(stderr, "%s\n", cairn_last_error_message());
    return 1;
  }
  cairn_search_options options = CAIRN_SEARCH_OPTIONS;
  options.k = 1;
  uint64_t id = CAIRN_NO_ID;
  float distance = 0;
  size_t found = 0;
  const cairn_status status =
      cairn_search(index, vectors + 3 * DIM, DIM, &options, &id, &distance, &found);
  printf("cairn %s: %zu hits, the first is %llu\n", cairn_version(), found, (unsigned long long)id);
  cairn_free(index);
  return status == CAIRN_OK && id == 3 ? 0 : 1;
}
