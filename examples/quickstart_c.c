/* The C interface: build an index with payloads, save it, open it, search it. */

#include <stdio.h>
#include <stdlib.h>

#include <cairn/cairn_c.h>

enum { ROWS = 10000, DIM = 64 };

static int check(cairn_status status) {
  if (status != CAIRN_OK) fprintf(stderr, "error %d: %s\n", status, cairn_last_error_message());
  return status == CAIRN_OK;
}

/* The text that belongs to a row. */
static int payload_of(void* user, size_t row, const char** bytes, size_t* size) {
  char* buffer = user;
  *size = (size_t)sprintf(buffer, "{\"title\": \"document %zu\"}", row);
  *bytes = buffer;
  return 0;
}

int main(void) {
  float* vectors = malloc(sizeof(float) * ROWS * DIM);
  if (vectors == NULL) return 1;
  for (size_t i = 0; i < (size_t)ROWS * DIM; ++i) vectors[i] = (float)(rand() % 1000) / 1000;

  char buffer[64];
  cairn_build_options build = CAIRN_BUILD_OPTIONS;
  build.metric = CAIRN_COSINE;
  build.payload = payload_of;
  build.payload_user = buffer;
  cairn_index* built = NULL;
  cairn_index* index = NULL;
  int ok = check(cairn_build(vectors, ROWS, DIM, NULL, &build, &built)) &&
           check(cairn_save(built, "quickstart_c.cairn")) &&
           check(cairn_open("quickstart_c.cairn", NULL, &index));

  cairn_search_options search = CAIRN_SEARCH_OPTIONS;
  search.k = 3;
  uint64_t ids[3];
  float distances[3];
  size_t found = 0;
  const float* query = vectors + 17 * DIM; /* its own nearest neighbour */
  ok = ok && check(cairn_search(index, query, DIM, &search, ids, distances, &found));
  for (size_t i = 0; ok && i < found; ++i) {
    char* text = NULL;
    size_t size = 0;
    ok = check(cairn_payload(index, ids[i], &text, &size));
    if (ok) printf("id %llu  distance %.3f  %s\n", (unsigned long long)ids[i], distances[i], text);
    cairn_free_payload(text);
  }
  cairn_free(index);
  cairn_free(built);
  free(vectors);
  return ok ? 0 : 1;
}
