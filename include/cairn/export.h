#pragma once

// Marks the public symbols; everything else is built with hidden visibility.
#if defined(_WIN32)
#define CAIRN_EXPORT
#else
#define CAIRN_EXPORT __attribute__((visibility("default")))
#endif
