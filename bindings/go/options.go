//go:build cgo

package redlock

import (
	"strconv"
	"strings"
	"time"
)

// Option is a setting of a factory, for [New].
type Option func(*factoryOptions)

type factoryOptions struct {
	settings    []setting
	credentials func() (username, password string, err error)
}

// setting is an option of the library: a name and a value, both text.
type setting struct{ name, value string }

// WithOption sets one of the library's options, such as WithOption("node_timeout_ms", "50"). [Options] lists them.
// An unknown name, or a value that is not allowed, makes [New] fail with a message that says what is.
func WithOption(name, value string) Option {
	return func(o *factoryOptions) { o.settings = append(o.settings, setting{name, value}) }
}

// WithNodeTimeout sets how long a node may take to answer, in whole milliseconds.
func WithNodeTimeout(timeout time.Duration) Option {
	return WithOption("node_timeout_ms", inMilliseconds(timeout))
}

// WithConnectTimeout sets how long connecting to a node may take, in whole milliseconds.
func WithConnectTimeout(timeout time.Duration) Option {
	return WithOption("connect_timeout_ms", inMilliseconds(timeout))
}

// WithMaxTTL sets the longest TTL that locks have. It should be the same for all users of a set of nodes. A longer one, up
// to 30 days, is granted with a warning in the log, or refused where the option "restart_guard" is "strict".
func WithMaxTTL(ttl time.Duration) Option {
	return WithOption("max_ttl_ms", inMilliseconds(ttl))
}

// WithNodesPersist gives your word that every node has each write on disk before it answers it, and has had so at every
// start: then a node that restarted votes at once. The library cannot know that by itself.
func WithNodesPersist() Option {
	return WithOption("nodes_persist", "on")
}

// WithKeyPrefix sets what is put before a resource's name to make its Redis key.
func WithKeyPrefix(prefix string) Option {
	return WithOption("key_prefix", prefix)
}

// WithTLSFiles sets, for rediss:// URLs, PEM files with the authorities that a server's certificate must be signed by (or
// that certificate itself), and with the certificate and key that this client shows. Each may be empty.
func WithTLSFiles(authorities, certificate, key string) Option {
	return func(o *factoryOptions) {
		for _, file := range []setting{
			{"tls_ca_file", authorities}, {"tls_cert_file", certificate}, {"tls_key_file", key},
		} {
			if file.value != "" {
				o.settings = append(o.settings, file)
			}
		}
	}
}

// WithTLSServerName sets, for rediss:// URLs, the name that servers' certificates must bear, if it is not the host of each
// URL.
func WithTLSServerName(name string) Option {
	return WithOption("tls_server_name", name)
}

// WithTLSVerify sets, for rediss:// URLs, what of a server's certificate is verified: "full", all but its name with "ca", or
// nothing with "none".
func WithTLSVerify(what string) Option {
	return WithOption("tls_verify", what)
}

// WithPasswordFile sets a file with the password of all nodes, in place of those in their URLs. It is read at each connect.
func WithPasswordFile(path string) Option {
	return WithOption("password_file", path)
}

// WithCredentialsProvider sets a function that is asked for the user and the password of all nodes whenever connections are made,
// once for those that are made at the same time: for passwords that are changed and tokens that run out. It is called in a
// goroutine of its own, and has the time of [WithConnectTimeout] to answer. An empty user name is that of each URL. A factory with a
// provider shares its connections with no other factory.
func WithCredentialsProvider(provider func() (username, password string)) Option {
	if provider == nil {
		return nil
	}
	return WithCredentialsProviderErr(func() (string, string, error) {
		username, password := provider()
		return username, password, nil
	})
}

// WithCredentialsProviderErr is as [WithCredentialsProvider]; the nodes' errors repeat the error that the provider returns,
// and it is asked again when the nodes are tried again.
func WithCredentialsProviderErr(provider func() (username, password string, err error)) Option {
	if provider == nil {
		return nil
	}
	return func(o *factoryOptions) {
		o.settings = append(o.settings, setting{"ask_credentials", "on"})
		o.credentials = provider
	}
}

func inMilliseconds(d time.Duration) string {
	return strconv.FormatInt(d.Milliseconds(), 10)
}

func (o *factoryOptions) check() *Error {
	for _, setting := range o.settings {
		if failed := checkText("the option's name", setting.name); failed != nil {
			return failed
		}
		if failed := checkText("the option "+setting.name, setting.value); failed != nil {
			return failed
		}
	}
	return nil
}

// checkText refuses what C would take for the end of the text.
func checkText(what, text string) *Error {
	if strings.IndexByte(text, 0) >= 0 {
		return invalid("%s contains a NUL byte", what)
	}
	return nil
}

// OptionInfo describes one of the library's options.
type OptionInfo struct {
	// Name is what [WithOption] takes.
	Name string
	// Default is the value that it has when nobody sets it; empty where nothing is set.
	Default string
	// Description says what it does and which values are allowed.
	Description string
}

// Options lists the options of the library that runs.
func Options() []OptionInfo {
	return optionTable()
}
