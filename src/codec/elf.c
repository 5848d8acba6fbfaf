// SPDX-License-Identifier: GPL-2.0-or-later
#include "codec/elf.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

enum { HEADERS_MAX = 512, DYNAMIC_MAX = 4096, STRINGS_MAX = 8 << 20, PATH_BYTES_MAX = 4096 };

struct segment {
    uint32_t type;
    uint64_t offset, address, bytes;
};
struct file {
    int fd;
    bool wide;
    struct segment segments[HEADERS_MAX];
    size_t segments_n;
};

void elf_needs_clear(struct elf_needs *n)
{
    free(n->loader);
    strv_free(&n->libraries);
    strv_free(&n->rpath);
    strv_free(&n->runpath);
    *n = (struct elf_needs){ 0 };
}

/* All n bytes, or *ret_all is false. */
static fallible read_all(int fd, void *buf, size_t n, uint64_t at, bool *ret_all)
{
    size_t done = 0;
    *ret_all = false;
    if (at > INT64_MAX - n)
        return NULL;
    while (done < n) {
        ssize_t r = pread(fd, (char *)buf + done, n - done, (off_t)(at + done));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_sys(errno, "read it");
        if (r == 0)
            return NULL;
        done += (size_t)r;
    }
    *ret_all = true;
    return NULL;
}

static fallible must_read(int fd, void *buf, size_t n, uint64_t at, const char *what)
{
    bool all;
    TRY(read_all(fd, buf, n, at, &all));
    return all ? NULL : err_new(ERR_CORRUPT, "ELF: %s lies beyond the end of the file", what);
}

/* ---- headers ---- */

static fallible read_segments(struct file *f, uint64_t at, size_t n, size_t size)
{
    if (n > HEADERS_MAX || (n && size < (f->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr))))
        return err_new(ERR_CORRUPT, "ELF: %zu program headers of %zu bytes", n, size);
    for (size_t i = 0; i < n; i++) {
        struct segment *s = &f->segments[i];
        if (f->wide) {
            Elf64_Phdr p;
            TRY(must_read(f->fd, &p, sizeof p, at + i * size, "a program header"));
            *s = (struct segment){ p.p_type, p.p_offset, p.p_vaddr, p.p_filesz };
        } else {
            Elf32_Phdr p;
            TRY(must_read(f->fd, &p, sizeof p, at + i * size, "a program header"));
            *s = (struct segment){ p.p_type, p.p_offset, p.p_vaddr, p.p_filesz };
        }
    }
    f->segments_n = n;
    return NULL;
}

static fallible read_headers(struct file *f, const unsigned char *ident, struct elf_needs *ret)
{
    const uint16_t one = 1;
    bool little = *(const unsigned char *)&one == 1;
    if (ident[EI_DATA] != (little ? ELFDATA2LSB : ELFDATA2MSB))
        return err_new(ERR_UNSUPPORTED, "ELF: of a machine with another byte order");
    f->wide = ident[EI_CLASS] == ELFCLASS64;
    ret->wide = f->wide;
    if (f->wide) {
        Elf64_Ehdr h;
        TRY(must_read(f->fd, &h, sizeof h, 0, "the header"));
        ret->machine = h.e_machine;
        return read_segments(f, h.e_phoff, h.e_phnum, h.e_phentsize);
    }
    Elf32_Ehdr h;
    TRY(must_read(f->fd, &h, sizeof h, 0, "the header"));
    ret->machine = h.e_machine;
    return read_segments(f, h.e_phoff, h.e_phnum, h.e_phentsize);
}

static const struct segment *segment_of_type(const struct file *f, uint32_t type)
{
    for (size_t i = 0; i < f->segments_n; i++)
        if (f->segments[i].type == type)
            return &f->segments[i];
    return NULL;
}

/* Where in the file an address of the program is. */
static bool offset_of(const struct file *f, uint64_t address, uint64_t *ret)
{
    for (size_t i = 0; i < f->segments_n; i++) {
        const struct segment *s = &f->segments[i];
        if (s->type == PT_LOAD && address >= s->address && address - s->address < s->bytes) {
            *ret = s->offset + (address - s->address);
            return true;
        }
    }
    return false;
}

/* ---- what is in them ---- */

static fallible read_loader(struct file *f, struct elf_needs *ret)
{
    const struct segment *s = segment_of_type(f, PT_INTERP);
    if (!s)
        return NULL;
    if (s->bytes < 2 || s->bytes > PATH_BYTES_MAX)
        return err_new(ERR_CORRUPT, "ELF: the loader's name has %llu bytes", (unsigned long long)s->bytes);
    own_mem char *name = mem_zalloc((size_t)s->bytes + 1);
    TRY(must_read(f->fd, name, (size_t)s->bytes, s->offset, "the loader's name"));
    if (name[0] != '/')
        return err_new(ERR_CORRUPT, "ELF: the loader's name is no absolute path");
    ret->loader = take(name);
    return NULL;
}

struct dynamic {
    int64_t tag;
    uint64_t value;
};

static fallible read_dynamic(struct file *f, const struct segment *s, struct dynamic *entries, size_t *ret_n)
{
    size_t size = f->wide ? sizeof(Elf64_Dyn) : sizeof(Elf32_Dyn), n = 0;
    for (; n < DYNAMIC_MAX && (n + 1) * size <= s->bytes; n++) {
        if (f->wide) {
            Elf64_Dyn d;
            TRY(must_read(f->fd, &d, sizeof d, s->offset + n * size, "the dynamic section"));
            entries[n] = (struct dynamic){ d.d_tag, d.d_un.d_val };
        } else {
            Elf32_Dyn d;
            TRY(must_read(f->fd, &d, sizeof d, s->offset + n * size, "the dynamic section"));
            entries[n] = (struct dynamic){ d.d_tag, d.d_un.d_val };
        }
        if (entries[n].tag == DT_NULL)
            break;
    }
    *ret_n = n;
    return NULL;
}

/* The string table, with a NUL behind it. *ret NULL: there is none. */
static fallible read_strings(struct file *f, const struct dynamic *d, size_t n, char **ret, size_t *ret_size)
{
    uint64_t at = 0, size = 0, address = 0;
    for (size_t i = 0; i < n; i++) {
        if (d[i].tag == DT_STRTAB)
            address = d[i].value;
        else if (d[i].tag == DT_STRSZ)
            size = d[i].value;
    }
    if (!size || !offset_of(f, address, &at))
        return NULL;
    if (size > STRINGS_MAX)
        return err_new(ERR_CORRUPT, "ELF: a string table of %llu bytes", (unsigned long long)size);
    own_mem char *text = mem_zalloc((size_t)size + 1);
    TRY(must_read(f->fd, text, (size_t)size, at, "the string table"));
    *ret = take(text);
    *ret_size = (size_t)size;
    return NULL;
}

static fallible take_names(const struct dynamic *d, size_t n, const char *strings, size_t size, struct elf_needs *ret)
{
    for (size_t i = 0; i < n; i++) {
        if (d[i].tag != DT_NEEDED && d[i].tag != DT_RPATH && d[i].tag != DT_RUNPATH)
            continue;
        if (!strings || d[i].value >= size)
            return err_new(ERR_CORRUPT, "ELF: a name lies beyond the string table");
        const char *text = strings + d[i].value;
        if (strlen(text) > PATH_BYTES_MAX)
            return err_new(ERR_CORRUPT, "ELF: a name is longer than any path");
        if (d[i].tag == DT_NEEDED)
            strv_add(&ret->libraries, text);
        else
            strv_split(d[i].tag == DT_RPATH ? &ret->rpath : &ret->runpath, text, ':');
    }
    return NULL;
}

static fallible read_needs(struct file *f, const unsigned char *ident, struct elf_needs *ret)
{
    size_t n = 0, size = 0;
    own_mem char *strings = NULL;
    TRY(read_headers(f, ident, ret));
    TRY(read_loader(f, ret));
    const struct segment *s = segment_of_type(f, PT_DYNAMIC);
    if (!s)
        return NULL;
    own_mem struct dynamic *entries = mem_array(NULL, DYNAMIC_MAX, sizeof *entries);
    TRY(read_dynamic(f, s, entries, &n));
    TRY(read_strings(f, entries, n, &strings, &size));
    return take_names(entries, n, strings, size, ret);
}

fallible elf_read(int fd, struct elf_needs *ret, bool *ret_is_elf)
{
    unsigned char ident[EI_NIDENT];
    own(elf_needs) struct elf_needs needs = { 0 };
    own_mem struct file *f = mem_zalloc(sizeof *f);
    bool all;
    TRY(read_all(fd, ident, sizeof ident, 0, &all));
    *ret_is_elf =
        all && memcmp(ident, ELFMAG, SELFMAG) == 0 && (ident[EI_CLASS] == ELFCLASS64 || ident[EI_CLASS] == ELFCLASS32);
    if (!*ret_is_elf)
        return NULL;
    f->fd = fd;
    TRY(read_needs(f, ident, &needs));
    *ret = needs;
    needs = (struct elf_needs){ 0 };
    return NULL;
}
