//go:build generator

// Package generator names what is built, so that `go mod tidy` pins it.
package generator

import _ "github.com/tsenart/vegeta/v12"
