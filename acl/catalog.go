package acl

import "strings"

// CommandID numbers a command of the catalog.
type CommandID int

// Entry is one command, or one sub-command, as rules name it.
type Entry struct {
	Name       string // lower case; of a sub-command "container|sub"
	Parent     CommandID
	Categories []string
}

// NoParent is the Parent of what is no sub-command.
const NoParent CommandID = -1

// Catalog is every command that rules may name. It is built once and never changes.
type Catalog struct {
	entries    []Entry
	byName     map[string]CommandID
	subs       map[CommandID][]CommandID
	categories []string
	members    map[string][]CommandID
}

// NewCatalog numbers the entries in their order. REQUIRES: a sub-command stands behind its container, and
// categories has every category that an entry names.
func NewCatalog(entries []Entry, categories []string) *Catalog {
	c := &Catalog{entries: entries, byName: map[string]CommandID{}, subs: map[CommandID][]CommandID{},
		categories: categories, members: map[string][]CommandID{}}
	for _, name := range categories {
		c.members[name] = nil
	}
	for i := range entries {
		id := CommandID(i)
		c.byName[entries[i].Name] = id
		if p := entries[i].Parent; p != NoParent {
			c.subs[p] = append(c.subs[p], id)
		}
		for _, name := range entries[i].Categories {
			c.members[name] = append(c.members[name], id)
		}
	}
	return c
}

// Lookup finds a command, or "container|sub", in any case.
func (c *Catalog) Lookup(name string) (id CommandID, ok bool) {
	id, ok = c.byName[strings.ToLower(name)]
	return id, ok
}

// Categories returns the names of all categories, in the order to show them. The caller must not change it.
func (c *Catalog) Categories() []string { return c.categories }

// Members returns the names of the commands of a category; ok is false if there is none of that name.
func (c *Catalog) Members(category string) (names []string, ok bool) {
	ids, ok := c.members[strings.ToLower(category)]
	for _, id := range ids {
		names = append(names, c.entries[id].Name)
	}
	return names, ok
}

// set is a set of commands.
type set []uint64

func (s set) has(id CommandID) bool { return s[id>>6]&(1<<(id&63)) != 0 }

func (s set) put(id CommandID, on bool) {
	if on {
		s[id>>6] |= 1 << (id & 63)
	} else {
		s[id>>6] &^= 1 << (id & 63)
	}
}

// newSet returns a set with room for all commands, full or empty.
func (c *Catalog) newSet(full bool) set {
	s := make(set, len(c.entries)/64+1)
	for i := range s {
		if full {
			s[i] = ^uint64(0)
		}
	}
	return s
}
