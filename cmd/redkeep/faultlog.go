//go:build faults

package main

import "github.com/redkeep/redkeep/cluster"

func init() { clientVariables = append(clientVariables, cluster.LogBytesEnv) }
