package main

import (
	"fmt"
	"strconv"
)

// Replies as they arrive in RESP2 (records and maps are flat field-value arrays) and the structures that
// etcdctl's JSON output has. The json tags are etcd's; ids and revisions are JSON numbers, keys and values
// base64, and zero fields are left out.

type header struct {
	ClusterID uint64 `json:"cluster_id,omitempty"`
	MemberID  uint64 `json:"member_id,omitempty"`
	Revision  int64  `json:"revision,omitempty"`
	RaftTerm  uint64 `json:"raft_term,omitempty"`
}

type keyValue struct {
	Key            []byte `json:"key,omitempty"`
	CreateRevision int64  `json:"create_revision,omitempty"`
	ModRevision    int64  `json:"mod_revision,omitempty"`
	Version        int64  `json:"version,omitempty"`
	Value          []byte `json:"value,omitempty"`
	Lease          int64  `json:"lease,omitempty"`
	Expires        int64  `json:"expires,omitempty"` // Unix milliseconds; etcd has no such field
}

// fields is a map reply.
type fields map[string]any

// fieldsOf reads a flat field-value array.
func fieldsOf(reply any) (fields, error) {
	list, ok := reply.([]any)
	if !ok || len(list)%2 != 0 {
		return nil, unexpected("fields")
	}
	f := make(fields, len(list)/2)
	for i := 0; i < len(list); i += 2 {
		f[fmt.Sprint(list[i])] = list[i+1]
	}
	return f, nil
}

// num is an integer field; 0 when it is missing.
func (f fields) num(name string) int64 {
	n, _ := f[name].(int64)
	return n
}

func (f fields) yes(name string) bool { return f.num(name) != 0 }

func (f fields) text(name string) string {
	s, _ := f[name].(string)
	return s
}

// id is a field of 16 hex digits; 0 when it is empty or missing.
func (f fields) id(name string) uint64 {
	n, _ := strconv.ParseUint(f.text(name), 16, 64)
	return n
}

func (f fields) list(name string) []any {
	l, _ := f[name].([]any)
	return l
}

// texts is a list of strings.
func (f fields) texts(name string) []string {
	texts := []string{}
	for _, e := range f.list(name) {
		texts = append(texts, fmt.Sprint(e))
	}
	return texts
}

// headerOf reads a header from the reply to CLUSTER.STATUS.
func headerOf(reply any) (header, error) {
	f, err := fieldsOf(reply)
	if err != nil {
		return header{}, err
	}
	return f.header(), nil
}

func (f fields) header() header {
	return header{
		ClusterID: f.id("cluster_id"), MemberID: f.id("member_id"),
		Revision: f.num("revision"), RaftTerm: uint64(f.num("term")),
	}
}

func recordOf(reply any) (keyValue, error) {
	f, err := fieldsOf(reply)
	if err != nil {
		return keyValue{}, err
	}
	return keyValue{
		Key: []byte(f.text("key")), Value: []byte(f.text("value")),
		CreateRevision: f.num("create_revision"), ModRevision: f.num("mod_revision"), Version: f.num("version"),
		Lease: int64(f.id("lease")), Expires: f.num("expires"),
	}, nil
}

func recordsOf(list []any) ([]keyValue, error) {
	kvs := make([]keyValue, 0, len(list))
	for _, e := range list {
		kv, err := recordOf(e)
		if err != nil {
			return nil, err
		}
		kvs = append(kvs, kv)
	}
	return kvs, nil
}
