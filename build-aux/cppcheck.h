/* SPDX-License-Identifier: ISC */
/* Only for cppcheck, which reads no system's headers: loops that are macros. */
#define json_array_foreach(array, i, value) \
 for ((i) = 0; ((value) = json_array_get((array), (i))) != NULL; (i)++)
#define json_object_foreach(object, key, value) \
 for ((key) = first(object); (key) && ((value) = get(object, key)) != NULL; (key) = next(key))
