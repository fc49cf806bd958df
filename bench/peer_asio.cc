// SPDX-License-Identifier: ISC
// peer_asio.cc - an echo server as asio's own documentation teaches it: a session for each
// client that reads some, writes all of it, and reads again; so it reads nothing while the
// client does not take what is there.
#include <asio.hpp>

#include <array>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <sys/prctl.h>

namespace
{
using asio::ip::tcp;

constexpr std::size_t read_size = 64 * 1024;

class session : public std::enable_shared_from_this<session>
{
      public:
	explicit session(tcp::socket socket) : socket_(std::move(socket))
	{
	}

	void read()
	{
		auto self = shared_from_this();
		socket_.async_read_some(asio::buffer(data_),
					[this, self](std::error_code error, std::size_t n) {
						if (!error)
							write(n);
					});
	}

      private:
	void write(std::size_t n)
	{
		auto self = shared_from_this();
		asio::async_write(socket_, asio::buffer(data_, n),
				  [this, self](std::error_code error, std::size_t) {
					  if (!error)
						  read();
				  });
	}

	tcp::socket socket_;
	std::array<char, read_size> data_;
};

void accept(tcp::acceptor &acceptor)
{
	acceptor.async_accept([&acceptor](std::error_code error, tcp::socket socket) {
		if (!error) {
			socket.set_option(tcp::no_delay(true), error);
			// Not make_shared: it would clear the whole buffer.
			std::shared_ptr<session>(new session(std::move(socket)))->read();
		}
		accept(acceptor);
	});
}
} // namespace

int main(int argc, char **argv)
{
	if (argc != 2) {
		std::cerr << "usage: peer_asio PORT\n";
		return 64;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	try {
		asio::io_context context(1);
		auto port = static_cast<unsigned short>(std::atoi(argv[1]));
		tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), port});

		acceptor.listen(511);
		accept(acceptor);
		context.run();
	} catch (const std::exception &e) {
		std::cerr << "peer_asio: " << e.what() << '\n';
		return 71;
	}
}
