package api

import (
	"reflect"
	"slices"
	"strings"
)

// unhonoured lists the members of a structure that are set and not among those
// that are honoured, by their names on the wire. Going by what is honoured, a
// member that a newer model brings is refused before anybody has thought of it.
func unhonoured(structure any, honoured ...string) []string {
	v := reflect.Indirect(reflect.ValueOf(structure))
	var out []string
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if !saysNothing(v.Field(i)) && !slices.Contains(honoured, name) {
			out = append(out, name)
		}
	}
	return out
}

// saysNothing tells whether a value asks for nothing: absent, an empty list, a
// false, a structure of such.
func saysNothing(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer:
		return v.IsNil() || saysNothing(v.Elem())
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	case reflect.Struct:
		for i := range v.NumField() {
			if !saysNothing(v.Field(i)) {
				return false
			}
		}
		return true
	}
	return v.IsZero()
}

// refuseUnhonoured refuses a request that sets members which are not honoured.
func refuseUnhonoured(in any, honoured ...string) error {
	if names := unhonoured(in, honoured...); len(names) > 0 {
		return unsupported(strings.Join(names, ", "))
	}
	return nil
}
